"""Recipe and commit in, a kernel in the store or the reason why there is none out."""
