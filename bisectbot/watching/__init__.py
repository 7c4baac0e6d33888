"""What somebody who looks on is shown of sessions: follow.py reads rows, views.py makes values and words of them."""
