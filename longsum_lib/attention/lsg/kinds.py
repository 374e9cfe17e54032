"""The kinds of sparse keys by their names; imports no torch, so that the command can name them."""

#: How sparse keys can be made, see :class:`~longsum_lib.attention.lsg.sparse.Sparsity`.
SPARSITY_TYPES = ("norm", "pooling", "lsh", "stride", "block_stride", "bos_pooling", "none")
