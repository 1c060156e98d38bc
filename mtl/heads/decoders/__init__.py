"""From a pyramid of features to one map: what dense heads share."""
