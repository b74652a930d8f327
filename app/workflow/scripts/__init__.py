"""What turns a step and a post into a prompt, and a prompt into stored output."""
