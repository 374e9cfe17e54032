"""Any number of documents: folders and tables in, files of summaries out, resumable."""
