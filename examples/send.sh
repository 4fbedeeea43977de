#!/bin/sh
# Sends one notification with curl: a template, a type of its name, a recipient, and the notification.
# BELLHOUSE_KEY must be set; BELLHOUSE_URL may be.
set -eu
url=${BELLHOUSE_URL:-http://127.0.0.1:8080}

api() {
  curl --fail-with-body --silent --show-error --request "$1" "$url$2" --data "$3" \
    --header "Authorization: Bearer $BELLHOUSE_KEY" --header 'Content-Type: application/json'
  echo
}

api PUT /v1/templates/example_code '{
  "locales": {"en": {"sms": {"text": "{{ code }} is your code."}, "email": {"subject": "Your code", "text": "{{ code }}"}}},
  "sample": {"code": "482913"}
}'
api PUT /v1/types/example_code '{
  "category": "security", "priority": "critical", "channels": ["sms", "email"], "mode": "first", "lifetime_s": 300
}'
api PUT /v1/recipients/example-hedy '{
  "locale": "en",
  "contacts": [{"channel": "sms", "address": "+33612345678"}, {"channel": "email", "address": "hedy@example.com"}]
}'
api POST /v1/notifications '{"user_id": "example-hedy", "type": "example_code", "data": {"code": "110417"}}'
