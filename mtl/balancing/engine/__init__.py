"""Where the gradients of all tasks meet: the autograd nodes between shared and own computation, without Lightning."""
