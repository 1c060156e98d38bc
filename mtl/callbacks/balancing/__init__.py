"""Callbacks that change the objective: balancing, task schedules, the check for finite losses, and their telemetry."""
