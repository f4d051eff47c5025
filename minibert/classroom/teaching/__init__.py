"""The teacher's side of the classroom: release exercises, grade submissions, and report."""
