"""SendGrid v3 mail/send and its Event Webhook."""
