"""Many documents written together: encoded one after the other, decoded in one loop that is filled up as they end."""
