"""Ranks, shards and normalisers: what one step on N ranks needs to equal one step on one."""
