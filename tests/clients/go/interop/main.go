// The Go side of the exchange between clients, one process for many topics.
//
// `interop franz|sarama write FILE` sends the records of the file; `interop franz|sarama read COUNT TOPIC…` prints that many
// records of each topic. A record is a line of tab-separated fields: topic, codec (write) or offset (read), timestamp, key,
// value, then header name and header value in turn; bytes are in base64, `-` is null.
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik.test/clients/common"
)

type line struct {
	topic, codec string
	offset       int64
	common.Record
}

type exchange interface {
	write(codec string, lines []line) error
	read(topic string, count int) ([]line, error)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	client := map[string]exchange{"franz": franz{}, "sarama": saramaClient{}}[arguments[0]]
	if arguments[1] == "write" {
		return writeFile(client, arguments[2])
	}
	count, err := strconv.Atoi(arguments[2])
	if err != nil {
		return err
	}
	for _, topic := range arguments[3:] {
		lines, err := client.read(topic, count)
		if err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		for _, l := range lines {
			fmt.Println(l)
		}
	}
	return nil
}

func writeFile(client exchange, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	byCodec := map[string][]line{}
	for text := range strings.Lines(string(content)) {
		l := parse(strings.TrimSuffix(text, "\n"))
		byCodec[l.codec] = append(byCodec[l.codec], l)
	}
	for codec, lines := range byCodec {
		if err := client.write(codec, lines); err != nil {
			return err
		}
	}
	return nil
}

func parse(text string) line {
	fields := strings.Split(text, "\t")
	timestamp, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		panic(err)
	}
	l := line{topic: fields[0], codec: fields[1], Record: common.Record{Timestamp: timestamp, Key: unquote(fields[3]), Value: unquote(fields[4])}}
	for i := 5; i < len(fields); i += 2 {
		l.Headers = append(l.Headers, common.Header{Key: string(unquote(fields[i])), Value: unquote(fields[i+1])})
	}
	return l
}

func (l line) String() string {
	fields := []string{l.topic, fmt.Sprint(l.offset), fmt.Sprint(l.Timestamp), quote(l.Key), quote(l.Value)}
	for _, h := range l.Headers {
		fields = append(fields, quote([]byte(h.Key)), quote(h.Value))
	}
	return strings.Join(fields, "\t")
}

func quote(b []byte) string {
	if b == nil {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(b)
}

func unquote(field string) []byte {
	if field == "-" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(field)
	if err != nil {
		panic(err)
	}
	return b
}

type franz struct{}

func (franz) write(codec string, lines []line) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(common.Bootstrap()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(map[string]kgo.CompressionCodec{
			"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
			"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		}[codec]))
	if err != nil {
		return err
	}
	defer cl.Close()
	var records []*kgo.Record
	for _, l := range lines {
		record := &kgo.Record{Topic: l.topic, Key: l.Key, Value: l.Value, Timestamp: time.UnixMilli(l.Timestamp)}
		for _, h := range l.Headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		records = append(records, record)
	}
	return cl.ProduceSync(context.Background(), records...).FirstErr()
}

func (franz) read(topic string, count int) ([]line, error) {
	start := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(common.Bootstrap()...), kgo.ConsumePartitions(start))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var lines []line
	for len(lines) < count {
		fetches := cl.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetches.Records() {
			l := line{topic: topic, offset: r.Offset, Record: common.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli()}}
			for _, h := range r.Headers {
				l.Headers = append(l.Headers, common.Header{Key: h.Key, Value: h.Value})
			}
			lines = append(lines, l)
		}
	}
	return lines, nil
}

type saramaClient struct{}

func (saramaClient) write(codec string, lines []line) error {
	c := sarama.NewConfig()
	c.Version = sarama.V4_1_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	if err := c.Producer.Compression.UnmarshalText([]byte(codec)); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(common.Bootstrap(), c)
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, l := range lines {
		message := &sarama.ProducerMessage{Topic: l.topic, Timestamp: time.UnixMilli(l.Timestamp)}
		if l.Key != nil {
			message.Key = sarama.ByteEncoder(l.Key)
		}
		if l.Value != nil {
			message.Value = sarama.ByteEncoder(l.Value)
		}
		for _, h := range l.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		messages = append(messages, message)
	}
	return producer.SendMessages(messages)
}

func (saramaClient) read(topic string, count int) ([]line, error) {
	c := sarama.NewConfig()
	c.Version = sarama.V4_1_0_0
	c.Consumer.Return.Errors = true
	// Closing waits for the fetch in flight, so that one is short.
	c.Consumer.MaxWaitTime = 50 * time.Millisecond
	consumer, err := sarama.NewConsumer(common.Bootstrap(), c)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	var lines []line
	for len(lines) < count {
		select {
		case m := <-partition.Messages():
			l := line{topic: topic, offset: m.Offset, Record: common.Record{Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli()}}
			for _, h := range m.Headers {
				l.Headers = append(l.Headers, common.Header{Key: string(h.Key), Value: h.Value})
			}
			lines = append(lines, l)
		case err := <-partition.Errors():
			return nil, err
		}
	}
	return lines, nil
}
