"""The algorithms of convolution, one file each, and the rule that chooses among them."""
