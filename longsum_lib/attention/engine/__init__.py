"""Attention block by block: key sets, kernels, and the merge of their parts."""
