// Package sarama tests sarama, which sends the request versions of the Kafka version it is told.
package sarama

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"chronik.test/clients/common"
)

func config(change ...func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V4_1_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.MaxMessageBytes = 8 << 20
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	c.Consumer.Return.Errors = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Retry.Max, c.Producer.Retry.Max = 1, 1
	for _, apply := range change {
		apply(c)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("wanted %v, got %v", wanted, err)
	}
}

func equal[T comparable](t *testing.T, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Fatalf("wanted %v, got %v", wanted, got)
	}
}

func closing(t *testing.T, thing interface{ Close() error }) {
	t.Cleanup(func() { _ = thing.Close() })
}

func admin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	adm, err := sarama.NewClusterAdmin(common.Bootstrap(), config())
	must(t, err)
	closing(t, adm)
	return adm
}

func client(t *testing.T, change ...func(*sarama.Config)) sarama.Client {
	t.Helper()
	cl, err := sarama.NewClient(common.Bootstrap(), config(change...))
	must(t, err)
	closing(t, cl)
	return cl
}

func makeTopic(t *testing.T, partitions int32, configs map[string]string) string {
	t.Helper()
	name := common.Unique("sarama")
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: common.Nodes(), ConfigEntries: entries}
	must(t, admin(t).CreateTopic(name, detail, false))
	cl := client(t)
	must(t, common.Eventually(func() bool {
		if cl.RefreshMetadata(name) != nil {
			return false
		}
		for p := range partitions {
			if _, err := cl.GetOffset(name, p, sarama.OffsetNewest); err != nil {
				return false
			}
		}
		return true
	}))
	return name
}

func codec(name string) func(*sarama.Config) {
	return func(c *sarama.Config) {
		c.Producer.Compression = map[string]sarama.CompressionCodec{
			"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
			"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
		}[name]
	}
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
}

func encoder(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

func send(t *testing.T, topic string, partition int32, records []common.Record, change ...func(*sarama.Config)) ([]*sarama.ProducerMessage, error) {
	t.Helper()
	producer, err := sarama.NewSyncProducer(common.Bootstrap(), config(change...))
	must(t, err)
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, r := range records {
		message := &sarama.ProducerMessage{
			Topic: topic, Partition: partition, Key: encoder(r.Key), Value: encoder(r.Value), Timestamp: time.UnixMilli(r.Timestamp),
		}
		for _, h := range r.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		messages = append(messages, message)
	}
	err = producer.SendMessages(messages)
	var several sarama.ProducerErrors
	if errors.As(err, &several) {
		err = several[0].Err
	}
	return messages, err
}

func read(t *testing.T, topic string, offset int64, count int) []*sarama.ConsumerMessage {
	t.Helper()
	// Closing waits for the fetch in flight, so that one is short.
	consumer, err := sarama.NewConsumer(common.Bootstrap(), config(func(c *sarama.Config) { c.Consumer.MaxWaitTime = 50 * time.Millisecond }))
	must(t, err)
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, offset)
	must(t, err)
	defer partition.Close()
	var got []*sarama.ConsumerMessage
	late := time.After(30 * time.Second)
	for len(got) < count {
		select {
		case message := <-partition.Messages():
			got = append(got, message)
		case err := <-partition.Errors():
			t.Fatal(err)
		case <-late:
			t.Fatalf("only %d of %d records came", len(got), count)
		}
	}
	return got
}

func fromSarama(messages []*sarama.ConsumerMessage) []common.Record {
	var all []common.Record
	for _, m := range messages {
		record := common.Record{Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli()}
		for _, h := range m.Headers {
			record.Headers = append(record.Headers, common.Header{Key: string(h.Key), Value: h.Value})
		}
		all = append(all, record)
	}
	return all
}

func TestRecordsComeBackAsTheyWereSent(t *testing.T) {
	for _, name := range common.Codecs {
		t.Run(name, func(t *testing.T) {
			topic, sent := makeTopic(t, 1, nil), common.Varied(60)
			acknowledged, err := send(t, topic, 0, sent, codec(name))
			must(t, err)
			for i, message := range acknowledged {
				equal(t, message.Offset, int64(i))
			}
			equal(t, common.Difference(sent, fromSarama(read(t, topic, 0, 60))), "")
			equal(t, common.Difference(sent[17:], fromSarama(read(t, topic, 17, 43))), "")
		})
	}
}

func TestTheTopicRecompresses(t *testing.T) {
	for _, name := range common.Codecs[1:] {
		t.Run(name, func(t *testing.T) {
			topic, sent := makeTopic(t, 1, map[string]string{"compression.type": name}), common.Varied(20)
			_, err := send(t, topic, 0, sent[:10])
			must(t, err)
			_, err = send(t, topic, 0, sent[10:], codec("snappy"))
			must(t, err)
			equal(t, common.Difference(sent, fromSarama(read(t, topic, 0, 20))), "")
		})
	}
}

func TestOlderRequestVersions(t *testing.T) {
	// Applications tell sarama the version of a cluster they had years ago; Kafka still serves these requests.
	for _, version := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_3_0_0} {
		t.Run(version.String(), func(t *testing.T) {
			topic, sent := makeTopic(t, 1, nil), common.Varied(10)
			_, err := send(t, topic, 0, sent, codec("lz4"), func(c *sarama.Config) { c.Version = version })
			must(t, err)
			cl := client(t, func(c *sarama.Config) { c.Version = version })
			newest, err := cl.GetOffset(topic, 0, sarama.OffsetNewest)
			must(t, err)
			equal(t, newest, 10)
			m := join(t, common.Unique("group"), topic, func(c *sarama.Config) { c.Version = version })
			must(t, common.Eventually(func() bool { return len(m.seen()) == 10 }))
		})
	}
}

func TestTheIdempotentProducer(t *testing.T) {
	topic, sent := makeTopic(t, 1, nil), common.Numbers(0, 2000)
	_, err := send(t, topic, 0, sent, idempotent, func(c *sarama.Config) { c.Producer.Flush.MaxMessages = 100 })
	must(t, err)
	equal(t, common.Difference(sent, fromSarama(read(t, topic, 0, 2000))), "")
}

func TestOffsetsByTime(t *testing.T) {
	topic, cl := makeTopic(t, 1, nil), client(t)
	_, err := send(t, topic, 0, common.Numbers(0, 20), codec("gzip"))
	must(t, err)
	for at, wanted := range map[int64]int64{
		common.T0: 0, common.T0 + 7001: 8, common.T0 + 19_000: 19, common.T0 + 1_000_000: -1,
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 20,
	} {
		offset, err := cl.GetOffset(topic, 0, at)
		must(t, err)
		equal(t, offset, wanted)
	}
}

func TestLogAppendTime(t *testing.T) {
	topic, before := makeTopic(t, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}), time.Now().UnixMilli()
	_, err := send(t, topic, 0, common.Numbers(0, 2))
	must(t, err)
	for _, message := range read(t, topic, 0, 2) {
		if at := message.Timestamp.UnixMilli(); at < before || at > time.Now().UnixMilli() {
			t.Fatalf("appended at %d, not between %d and now", at, before)
		}
	}
}

func TestTheSizeLimitIsExact(t *testing.T) {
	topic := makeTopic(t, 1, map[string]string{"max.message.bytes": "100000"})
	most := bytes.Repeat([]byte("x"), 100_000-common.BatchOverhead)
	_, err := send(t, topic, 0, []common.Record{{Value: most, Timestamp: common.T0}})
	must(t, err)
	_, err = send(t, topic, 0, []common.Record{{Value: append(most, 'x'), Timestamp: common.T0}})
	is(t, err, sarama.ErrMessageSizeTooLarge)
	equal(t, len(read(t, topic, 0, 1)[0].Value), len(most))
}

// member consumes as one member of a group until it is left.
type member struct {
	mu       sync.Mutex
	held     []int32
	received map[string]bool
	commitAt int64
	leave    func()
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = nil
	for _, partitions := range session.Claims() {
		m.held = append(m.held, partitions...)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.mu.Lock()
		m.received[fmt.Sprintf("%d:%d:%s", message.Partition, message.Offset, message.Value)] = true
		m.mu.Unlock()
		if message.Offset < m.commitAt {
			session.MarkMessage(message, "a note")
			session.Commit()
		}
	}
	return nil
}

func (m *member) assigned() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(slices.Values(m.held))
}

func (m *member) seen() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.received))
}

func join(t *testing.T, name, topic string, change ...func(*sarama.Config)) *member {
	t.Helper()
	return joinAndCommit(t, name, topic, 0, change...)
}

func joinAndCommit(t *testing.T, name, topic string, commitAt int64, change ...func(*sarama.Config)) *member {
	t.Helper()
	group, err := sarama.NewConsumerGroup(common.Bootstrap(), name, config(change...))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	m := &member{received: map[string]bool{}, commitAt: commitAt}
	m.leave = sync.OnceFunc(func() {
		cancel()
		<-ended
		_ = group.Close()
	})
	t.Cleanup(m.leave)
	go func() {
		for range group.Errors() {
		}
	}()
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{topic}, m); err != nil && ctx.Err() == nil {
				t.Errorf("consuming as a member: %v", err)
				return
			}
		}
	}()
	return m
}

func TestTwoMembersShareAndOneInheritsAll(t *testing.T) {
	topic, group := makeTopic(t, 4, nil), common.Unique("group")
	first := join(t, group, topic)
	must(t, common.Eventually(func() bool { return len(first.assigned()) == 4 }))
	second := join(t, group, topic)
	must(t, common.Eventually(func() bool { return len(first.assigned()) == 2 && len(second.assigned()) == 2 }))
	for p := range int32(4) {
		equal(t, slices.Contains(first.assigned(), p) != slices.Contains(second.assigned(), p), true)
		_, err := send(t, topic, p, common.Numbers(0, 5))
		must(t, err)
	}
	must(t, common.Eventually(func() bool { return len(first.seen())+len(second.seen()) == 20 }))
	second.leave()
	must(t, common.Eventually(func() bool { return len(first.assigned()) == 4 }))
}

func TestCommitAndResume(t *testing.T) {
	topic, group := makeTopic(t, 1, nil), common.Unique("group")
	_, err := send(t, topic, 0, common.Numbers(0, 10))
	must(t, err)
	first := joinAndCommit(t, group, topic, 6)
	must(t, common.Eventually(func() bool { return len(first.seen()) == 10 }))
	first.leave()
	offsets, err := admin(t).ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	must(t, err)
	equal(t, offsets.GetBlock(topic, 0).Offset, 6)
	equal(t, offsets.GetBlock(topic, 0).Metadata, "a note")
	second := join(t, group, topic)
	must(t, common.Eventually(func() bool { return len(second.seen()) == 4 }))
	equal(t, second.seen()[0], "0:6:6")
}

func TestGroupsAreListedDescribedAndDeleted(t *testing.T) {
	topic, group, adm := makeTopic(t, 1, nil), common.Unique("group"), admin(t)
	m := join(t, group, topic)
	must(t, common.Eventually(func() bool { return len(m.assigned()) == 1 }))
	listed, err := adm.ListConsumerGroups()
	must(t, err)
	equal(t, listed[group], "consumer")
	described, err := adm.DescribeConsumerGroups([]string{group})
	must(t, err)
	equal(t, described[0].State, "Stable")
	equal(t, len(described[0].Members), 1)
	is(t, adm.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
	m.leave()
	must(t, common.Eventually(func() bool { return adm.DeleteConsumerGroup(group) == nil }))
	is(t, adm.DeleteConsumerGroup(group), sarama.ErrGroupIDNotFound)
}

func TestTopicsAndConfigs(t *testing.T) {
	topic, adm := makeTopic(t, 2, map[string]string{"retention.ms": "1000000"}), admin(t)
	is(t, adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false), sarama.ErrTopicAlreadyExists)
	must(t, adm.CreatePartitions(topic, 5, nil, false))
	must(t, common.Eventually(func() bool {
		described, err := adm.DescribeTopics([]string{topic})
		return err == nil && len(described[0].Partitions) == 5
	}))
	is(t, adm.CreatePartitions(topic, 3, nil, false), sarama.ErrInvalidPartitions)

	value := func(key string) string {
		entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
		must(t, err)
		for _, entry := range entries {
			if entry.Name == key {
				return fmt.Sprintf("%s from %v", entry.Value, entry.Source)
			}
		}
		return ""
	}
	equal(t, value("retention.ms"), "1000000 from Topic")
	equal(t, value("cleanup.policy"), "delete from Default")
	set := func(key, value string) error {
		entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
		return adm.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{key: entry}, false)
	}
	must(t, set("segment.bytes", "2000000"))
	must(t, common.Eventually(func() bool { return value("segment.bytes") == "2000000 from Topic" }))
	is(t, set("retention.ms", "soon"), sarama.ErrInvalidConfig)
	must(t, adm.DeleteTopic(topic))
	must(t, common.Eventually(func() bool {
		topics, err := adm.ListTopics()
		_, there := topics[topic]
		return err == nil && !there
	}))
	is(t, adm.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition)
}

func TestErrorsOfCreation(t *testing.T) {
	adm, bad, value := admin(t), common.Unique("bad"), "1"
	create := func(name string, partitions int32, replicas int16, configs map[string]*string) error {
		return adm.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: configs}, false)
	}
	is(t, create("with space", 1, 1, nil), sarama.ErrInvalidTopic)
	is(t, create(bad, 0, 1, nil), sarama.ErrInvalidPartitions)
	is(t, create(bad, 1, common.Nodes()+1, nil), sarama.ErrInvalidReplicationFactor)
	is(t, create(bad, 1, 1, map[string]*string{"no.such.config": &value}), sarama.ErrInvalidConfig)
	_, err := send(t, bad, 0, common.Numbers(0, 1))
	is(t, err, sarama.ErrUnknownTopicOrPartition)
}

func TestDeleteRecordsAndOutOfRange(t *testing.T) {
	topic, adm, cl := makeTopic(t, 1, nil), admin(t), client(t)
	_, err := send(t, topic, 0, common.Numbers(0, 10))
	must(t, err)
	must(t, adm.DeleteRecords(topic, map[int32]int64{0: 4}))
	oldest, err := cl.GetOffset(topic, 0, sarama.OffsetOldest)
	must(t, err)
	equal(t, oldest, 4)
	if err := adm.DeleteRecords(topic, map[int32]int64{0: 11}); err == nil {
		t.Fatal("records beyond the end were deleted")
	}
	consumer, err := sarama.NewConsumerFromClient(cl)
	must(t, err)
	for _, offset := range []int64{0, 1000} {
		_, err = consumer.ConsumePartition(topic, 0, offset)
		is(t, err, sarama.ErrOffsetOutOfRange)
	}
}
