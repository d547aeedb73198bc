"""Takes submissions from the queue, has the runner execute them, and reports what happened."""
