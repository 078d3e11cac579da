"""What makes messages out of things that are there: folders."""
