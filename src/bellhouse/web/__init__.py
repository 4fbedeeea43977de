"""What every HTTP face shares: errors, keys, bodies, times, cursors and the page that shows the API."""
