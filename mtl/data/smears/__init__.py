"""Made-up patients: what their blood looks like under a microscope, and what stands beside it in a table."""
