"""What crossed the link, for whom, kept and handed on."""
