"""The form in which batches and their receipts cross the link."""
