"""Callbacks for several processes, and the strategy that shards."""
