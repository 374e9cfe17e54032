"""The tiny models of this book: their recipes, first weights, stream of documents and trainer."""
