"""What is known about a video, and how to cut it: probe, plan, argv, cut, verify."""
