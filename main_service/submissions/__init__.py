"""What happens to a submission, as verbs: taken in, announced, claimed, finished, read."""
