"""The page of a step-through: one self-contained HTML file. Its JavaScript and CSS are files in this folder."""
