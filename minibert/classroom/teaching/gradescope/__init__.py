"""An autograder for Gradescope: `package.write_autograder` makes the zip, and `grade` runs there."""
