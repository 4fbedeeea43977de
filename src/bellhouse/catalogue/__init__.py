"""What a tenant defines: notification types and templates, with their preview."""
