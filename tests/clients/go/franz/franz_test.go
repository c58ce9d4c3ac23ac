// Package franz tests franz-go, which speaks the newest version of every request that a broker offers.
package franz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik.test/clients/common"
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(common.Bootstrap()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(2),
	}, options...)...)
	must(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func admin(t *testing.T) *kadm.Client { return kadm.NewClient(client(t)) }

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

func makeTopic(t *testing.T, partitions int32, configs map[string]string) string {
	t.Helper()
	ctx, adm, name := deadline(t), admin(t), common.Unique("franz")
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	_, err := adm.CreateTopic(ctx, partitions, common.Nodes(), values, name)
	must(t, err)
	must(t, common.Eventually(func() bool {
		listed, err := adm.ListEndOffsets(ctx, name)
		return err == nil && listed.Error() == nil && len(listed[name]) == int(partitions)
	}))
	return name
}

func codec(name string) kgo.Opt {
	return kgo.ProducerBatchCompression(map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[name])
}

func toFranz(topic string, partition int32, records []common.Record) []*kgo.Record {
	var all []*kgo.Record
	for _, r := range records {
		record := &kgo.Record{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		all = append(all, record)
	}
	return all
}

func fromFranz(records []*kgo.Record) []common.Record {
	var all []common.Record
	for _, r := range records {
		record := common.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli()}
		for _, h := range r.Headers {
			record.Headers = append(record.Headers, common.Header{Key: h.Key, Value: h.Value})
		}
		all = append(all, record)
	}
	return all
}

func send(t *testing.T, topic string, partition int32, records []common.Record, options ...kgo.Opt) error {
	t.Helper()
	return client(t, options...).ProduceSync(deadline(t), toFranz(topic, partition, records)...).FirstErr()
}

func read(t *testing.T, topic string, from kgo.Offset, count int) []*kgo.Record {
	t.Helper()
	cl := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))
	return poll(t, cl, count)
}

func poll(t *testing.T, cl *kgo.Client, count int) []*kgo.Record {
	t.Helper()
	var got []*kgo.Record
	for len(got) < count {
		fetches := cl.PollFetches(deadline(t))
		must(t, fetches.Err())
		got = append(got, fetches.Records()...)
	}
	return got
}

func TestRecordsComeBackAsTheyWereSent(t *testing.T) {
	for _, name := range common.Codecs {
		t.Run(name, func(t *testing.T) {
			topic, sent := makeTopic(t, 1, nil), common.Varied(60)
			must(t, send(t, topic, 0, sent, codec(name)))
			got := read(t, topic, kgo.NewOffset().At(0), 60)
			equal(t, common.Difference(sent, fromFranz(got)), "")
			for i, record := range got {
				equal(t, record.Offset, int64(i))
			}
			equal(t, common.Difference(sent[17:], fromFranz(read(t, topic, kgo.NewOffset().At(17), 43))), "")
		})
	}
}

func TestTheTopicRecompresses(t *testing.T) {
	for _, name := range common.Codecs[1:] {
		t.Run(name, func(t *testing.T) {
			topic, sent := makeTopic(t, 1, map[string]string{"compression.type": name}), common.Varied(20)
			must(t, send(t, topic, 0, sent[:10], codec("none")))
			must(t, send(t, topic, 0, sent[10:], codec("lz4")))
			got := read(t, topic, kgo.NewOffset().At(0), 20)
			equal(t, common.Difference(sent, fromFranz(got)), "")
			equal(t, common.Codecs[got[0].Attrs.CompressionType()], name)
		})
	}
}

func TestProducersWithAndWithoutIdempotence(t *testing.T) {
	plain := []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()), kgo.MaxProduceRequestsInflightPerBroker(1)}
	for name, options := range map[string][]kgo.Opt{"idempotent": nil, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			topic, sent := makeTopic(t, 1, nil), common.Numbers(0, 3000)
			must(t, send(t, topic, 0, sent, append(options, kgo.ProducerBatchMaxBytes(2000))...))
			got := read(t, topic, kgo.NewOffset().At(0), 3000)
			equal(t, common.Difference(sent, fromFranz(got)), "")
			equal(t, got[2999].Offset, 2999)
			equal(t, got[0].ProducerID >= 0, name == "idempotent")
		})
	}
}

func TestOffsetsByTime(t *testing.T) {
	topic, adm := makeTopic(t, 1, nil), admin(t)
	must(t, send(t, topic, 0, common.Numbers(0, 20)))
	for after, wanted := range map[int64]int64{0: 0, common.T0: 0, common.T0 + 7001: 8, common.T0 + 19_000: 19} {
		listed, err := adm.ListOffsetsAfterMilli(deadline(t), after, topic)
		must(t, err)
		found, _ := listed.Lookup(topic, 0)
		equal(t, found.Offset, wanted)
		equal(t, found.Timestamp, common.T0+wanted*1000)
	}
	max, err := adm.ListMaxTimestampOffsets(deadline(t), topic)
	must(t, err)
	found, _ := max.Lookup(topic, 0)
	equal(t, found.Offset, 19)
	got := read(t, topic, kgo.NewOffset().AfterMilli(common.T0+16_500), 3)
	equal(t, string(got[0].Value), "17")
}

func TestLogAppendTime(t *testing.T) {
	topic, before := makeTopic(t, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}), time.Now().UnixMilli()
	must(t, send(t, topic, 0, common.Numbers(0, 3)))
	for _, record := range read(t, topic, kgo.NewOffset().At(0), 3) {
		equal(t, record.Attrs.TimestampType(), int8(1))
		if at := record.Timestamp.UnixMilli(); at < before || at > time.Now().UnixMilli() {
			t.Fatalf("appended at %d, not between %d and now", at, before)
		}
	}
}

func TestTheSizeLimitIsExact(t *testing.T) {
	topic := makeTopic(t, 1, map[string]string{"max.message.bytes": "100000"})
	most := bytes.Repeat([]byte("x"), 100_000-common.BatchOverhead)
	one := func(value []byte) error {
		return send(t, topic, 0, []common.Record{{Value: value, Timestamp: common.T0}}, codec("none"), kgo.ProducerBatchMaxBytes(1<<20))
	}
	must(t, one(most))
	is(t, one(append(most, 'x')), kerr.MessageTooLarge)
	equal(t, len(read(t, topic, kgo.NewOffset().At(0), 1)[0].Value), len(most))
}

type member struct {
	*kgo.Client
	held chan func(map[int32]bool)
	now  map[int32]bool
}

func join(t *testing.T, group, topic string, options ...kgo.Opt) *member {
	t.Helper()
	m := &member{held: make(chan func(map[int32]bool), 64), now: map[int32]bool{}}
	change := func(here bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.held <- func(now map[int32]bool) {
				for _, p := range changed[topic] {
					if here {
						now[p] = true
					} else {
						delete(now, p)
					}
				}
			}
		}
	}
	m.Client = client(t, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(10 * time.Second),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, options...)...)
	return m
}

func (m *member) assigned() map[int32]bool {
	for {
		select {
		case change := <-m.held:
			change(m.now)
		default:
			return m.now
		}
	}
}

func pollAll(seen map[string]bool, members ...*member) {
	for _, m := range members {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		m.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen[fmt.Sprintf("%d:%s", r.Partition, r.Value)] = true })
		cancel()
	}
}

func TestTwoMembersShareAndOneInheritsAll(t *testing.T) {
	for _, balancer := range []kgo.GroupBalancer{kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()} {
		t.Run(balancer.ProtocolName(), func(t *testing.T) {
			topic, group, seen := makeTopic(t, 4, nil), common.Unique("group"), map[string]bool{}
			first := join(t, group, topic, kgo.Balancers(balancer))
			must(t, common.Eventually(func() bool { pollAll(seen, first); return len(first.assigned()) == 4 }))
			second := join(t, group, topic, kgo.Balancers(balancer))
			must(t, common.Eventually(func() bool {
				pollAll(seen, first, second)
				return len(first.assigned()) == 2 && len(second.assigned()) == 2
			}))
			for p := range int32(4) {
				equal(t, first.assigned()[p] != second.assigned()[p], true)
				must(t, send(t, topic, p, common.Numbers(0, 5)))
			}
			must(t, common.Eventually(func() bool { pollAll(seen, first, second); return len(seen) == 20 }))
			second.Close()
			must(t, common.Eventually(func() bool { pollAll(seen, first); return len(first.assigned()) == 4 }))
		})
	}
}

func TestCommitAndResume(t *testing.T) {
	topic, group := makeTopic(t, 1, nil), common.Unique("group")
	must(t, send(t, topic, 0, common.Numbers(0, 10)))
	first := join(t, group, topic)
	must(t, first.CommitRecords(deadline(t), poll(t, first.Client, 10)[:6]...))
	first.Close()
	offsets, err := admin(t).FetchOffsets(deadline(t), group)
	must(t, err)
	committed, _ := offsets.Lookup(topic, 0)
	equal(t, committed.At, 6)
	equal(t, committed.LeaderEpoch, 0)
	second := join(t, group, topic)
	got := poll(t, second.Client, 4)
	equal(t, got[0].Offset, 6)
}

func TestGroupsAreListedDescribedAndDeleted(t *testing.T) {
	topic, group, adm := makeTopic(t, 1, nil), common.Unique("group"), admin(t)
	m := join(t, group, topic)
	must(t, common.Eventually(func() bool { pollAll(map[string]bool{}, m); return len(m.assigned()) == 1 }))
	described, err := adm.DescribeGroups(deadline(t), group)
	must(t, err)
	equal(t, described[group].State, "Stable")
	equal(t, len(described[group].Members), 1)
	listed, err := adm.ListGroups(deadline(t), "Stable")
	must(t, err)
	equal(t, listed[group].ProtocolType, "consumer")
	deleted, _ := adm.DeleteGroup(deadline(t), group)
	is(t, deleted.Err, kerr.NonEmptyGroup)
	m.Close()
	must(t, common.Eventually(func() bool {
		deleted, _ := adm.DeleteGroup(deadline(t), group)
		return deleted.Err == nil
	}))
	deleted, _ = adm.DeleteGroup(deadline(t), group)
	is(t, deleted.Err, kerr.GroupIDNotFound)
}

func TestTopicsAndConfigs(t *testing.T) {
	topic, adm, ctx := makeTopic(t, 2, map[string]string{"retention.ms": "1000000"}), admin(t), deadline(t)
	_, err := adm.CreateTopic(ctx, 1, 1, nil, topic)
	is(t, err, kerr.TopicAlreadyExists)
	grown, err := adm.UpdatePartitions(ctx, 5, topic)
	must(t, err)
	must(t, grown.Error())
	must(t, common.Eventually(func() bool {
		topics, err := adm.ListTopics(ctx, topic)
		return err == nil && len(topics[topic].Partitions) == 5
	}))
	fewer, err := adm.UpdatePartitions(ctx, 3, topic)
	must(t, err)
	is(t, fewer[topic].Err, kerr.InvalidPartitions)

	config := func(key string) string {
		described, err := adm.DescribeTopicConfigs(ctx, topic)
		must(t, err)
		for _, entry := range described[0].Configs {
			if entry.Key == key {
				return fmt.Sprintf("%s from %v", entry.MaybeValue(), entry.Source)
			}
		}
		return ""
	}
	equal(t, config("retention.ms"), "1000000 from DYNAMIC_TOPIC_CONFIG")
	equal(t, config("cleanup.policy"), "delete from DEFAULT_CONFIG")
	set := func(key, value string) error {
		altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
		must(t, err)
		return altered[0].Err
	}
	must(t, set("segment.bytes", "2000000"))
	must(t, common.Eventually(func() bool { return config("segment.bytes") == "2000000 from DYNAMIC_TOPIC_CONFIG" }))
	is(t, set("retention.ms", "soon"), kerr.InvalidConfig)
	is(t, set("no.such.config", "1"), kerr.InvalidConfig)

	deleted, err := adm.DeleteTopic(ctx, topic)
	must(t, err)
	must(t, deleted.Err)
	must(t, common.Eventually(func() bool {
		topics, err := adm.ListTopics(ctx)
		return err == nil && !topics.Has(topic)
	}))
	_, err = adm.DeleteTopic(ctx, topic)
	is(t, err, kerr.UnknownTopicOrPartition)
}

func TestErrorsOfCreation(t *testing.T) {
	adm, ctx, bad := admin(t), deadline(t), common.Unique("bad")
	value := "1"
	create := func(partitions int32, replicas int16, configs map[string]*string, name string) error {
		_, err := adm.CreateTopic(ctx, partitions, replicas, configs, name)
		return err
	}
	is(t, create(1, 1, nil, "with space"), kerr.InvalidTopicException)
	is(t, create(0, 1, nil, bad), kerr.InvalidPartitions)
	is(t, create(1, common.Nodes()+1, nil, bad), kerr.InvalidReplicationFactor)
	is(t, create(1, 1, map[string]*string{"no.such.config": &value}, bad), kerr.InvalidConfig)
	is(t, send(t, bad, 0, common.Numbers(0, 1)), kerr.UnknownTopicOrPartition)
	must(t, send(t, bad, 0, common.Numbers(0, 1), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1)))
}

func TestDeleteRecordsAndOutOfRange(t *testing.T) {
	topic, adm, ctx := makeTopic(t, 1, nil), admin(t), deadline(t)
	must(t, send(t, topic, 0, common.Numbers(0, 10)))
	drop := func(at int64) error {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, at, -1)
		deleted, err := adm.DeleteRecords(ctx, offsets)
		must(t, err)
		return deleted.Error()
	}
	must(t, drop(4))
	is(t, drop(11), kerr.OffsetOutOfRange)
	starts, err := adm.ListStartOffsets(ctx, topic)
	must(t, err)
	start, _ := starts.Lookup(topic, 0)
	equal(t, start.Offset, 4)
	at := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(1000)}}
	none := client(t, kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	is(t, none.PollFetches(ctx).Err(), kerr.OffsetOutOfRange)
	earliest := client(t, kgo.ConsumePartitions(at), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	equal(t, poll(t, earliest, 1)[0].Offset, 4)
}
