"""What only a public deployment has: limits, the queue, what is stored of a visitor, and the owners' door."""
