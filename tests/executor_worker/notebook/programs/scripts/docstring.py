"""What it does."""
print(__doc__, __name__)
