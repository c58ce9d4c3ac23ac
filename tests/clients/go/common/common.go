// Package common holds what both clients' suites share: the broker's address, records, unique names and waiting.
package common

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"
)

// T0 is the first timestamp of the test data, in ms since the epoch: two hours ago, for older records would soon fall to the
// retention.
var T0 = (time.Now().Unix() - 7200) * 1000

// BatchOverhead is what one record alone adds to its value in a batch of message format 2: no key, no headers, sizes that
// need a varint of three bytes.
const BatchOverhead = 72

// Codecs are Kafka's names of the compression types.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Header is one header of a record; keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as sent or received. A nil key or value is null.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
}

// Bootstrap is the addresses of the nodes under test: as many replicas has a topic.
func Bootstrap() []string {
	addresses := os.Getenv("BOOTSTRAP")
	if addresses == "" {
		fmt.Fprintln(os.Stderr, "BOOTSTRAP is not set: run the suite through tests/clients/run")
		os.Exit(2)
	}
	return strings.Split(addresses, ",")
}

// Nodes is how many nodes are under test.
func Nodes() int16 { return int16(len(Bootstrap())) }

// Unique is a name that no other test uses.
func Unique(stem string) string {
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	return stem + "-" + hex.EncodeToString(random)
}

// Varied is records with null, empty and binary keys, values and headers.
func Varied(count int) []Record {
	records := make([]Record, count)
	for i := range records {
		r := Record{Timestamp: T0 + int64(i)*1000}
		switch i % 3 {
		case 1:
			r.Key = []byte{}
		case 2:
			r.Key = fmt.Appendf(nil, "key-%d", i)
		}
		switch i % 4 {
		case 0:
			for range 20 {
				r.Value = fmt.Appendf(r.Value, "value-%d ", i)
			}
		case 1:
			r.Value = []byte{}
		case 2:
			r.Value = []byte{0, 255, 0, 255}
		}
		if i%2 == 1 {
			r.Headers = []Header{{"twice", []byte("1")}, {"twice", []byte("2")}, {"empty", []byte{}}, {"null", nil}}
		}
		records[i] = r
	}
	return records
}

// Numbers is records whose values are the numbers of a range.
func Numbers(from, to int) []Record {
	var records []Record
	for i := from; i < to; i++ {
		records = append(records, Record{Value: fmt.Appendf(nil, "%d", i), Timestamp: T0 + int64(i)*1000})
	}
	return records
}

// Same says whether two byte strings are equal, null being unlike empty.
func Same(a, b []byte) bool {
	return string(a) == string(b) && (a == nil) == (b == nil)
}

// Difference names the first difference between what was sent and what came back, or is empty.
func Difference(sent, got []Record) string {
	if len(sent) != len(got) {
		return fmt.Sprintf("%d records sent, %d came back", len(sent), len(got))
	}
	for i := range sent {
		a, b := sent[i], got[i]
		if !Same(a.Key, b.Key) || !Same(a.Value, b.Value) || a.Timestamp != b.Timestamp || len(a.Headers) != len(b.Headers) {
			return fmt.Sprintf("record %d: sent %+v, got %+v", i, a, b)
		}
		for h := range a.Headers {
			if a.Headers[h].Key != b.Headers[h].Key || !Same(a.Headers[h].Value, b.Headers[h].Value) {
				return fmt.Sprintf("record %d, header %d: sent %+v, got %+v", i, h, a.Headers[h], b.Headers[h])
			}
		}
	}
	return ""
}

// Eventually waits for a condition by asking.
func Eventually(condition func() bool) error {
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			return fmt.Errorf("it did not come within 30 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}
