"""The log on Apache Kafka."""

from bellhouse.adapters.log.kafka.config import KafkaConfig
from bellhouse.adapters.log.kafka.log import KafkaLog
from bellhouse.adapters.log.kafka.topic_plan import TopicReport
from bellhouse.adapters.log.kafka.topics import check_topics, create_topics

__all__ = ["KafkaConfig", "KafkaLog", "TopicReport", "check_topics", "create_topics"]
