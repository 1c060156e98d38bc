"""Pictures and curves as matplotlib figures and PIL images; nothing here knows Lightning."""
