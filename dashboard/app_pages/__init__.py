"""The pages: what is shown and in which order; what they show is made elsewhere."""
