"""Files to arrays: cubes and labels, in every form that people have them."""
