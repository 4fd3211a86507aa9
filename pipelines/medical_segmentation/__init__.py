"""Medical segmentation: where a structure is, how large it is, how sure we are, and which cases a human must see."""
