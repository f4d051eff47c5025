"""Material for teaching: a catalogue of typical mistakes."""
