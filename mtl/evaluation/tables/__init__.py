"""Results of runs side by side: tables, intervals, pictures and pages."""
