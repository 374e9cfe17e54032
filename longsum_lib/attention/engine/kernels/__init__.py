"""How the product of a block of queries with a set of keys is computed, a file a kernel."""
