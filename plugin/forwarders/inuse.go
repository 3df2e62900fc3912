package forwarders

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// maxLogLine bounds a line of a query log; a record is some hundred bytes.
const maxLogLine = 1 << 20

// Usage tells what was found in a query log.
type Usage struct {
	// Records is how many records were read, Skipped how many lines were none.
	Records, Skipped int
	// Unknown are namespaces of the log that the catalog does not have, sorted.
	Unknown []string
}

// InUse selects the namespaces that a query log names: lines of JSON, also
// compressed by gzip, with the fields namespace and qname. A record without a
// namespace is looked up by its qname. Lines that are no records are counted
// and passed over, since the last line of a log in use is often half written;
// an error means that the log could not be read or that no line was a record.
// Memory is bounded by the catalog's size and one line.
func InUse(c *catalog.Catalog, log io.Reader) (Selection, Usage, error) {
	s := newSelection()
	lines := bufio.NewReaderSize(log, maxLogLine)
	if magic, _ := lines.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(lines)
		if err != nil {
			return s, Usage{}, fmt.Errorf("unpacking: %w", err)
		}
		lines = bufio.NewReaderSize(unpacked, maxLogLine)
	}
	reader := usageReader{catalog: c, selection: s, byName: map[string]*catalog.Namespace{}, unknown: map[string]bool{}}
	for _, namespace := range c.Namespaces() {
		reader.byName[namespace.Suffix] = namespace
	}
	err := reader.read(lines)
	usage := reader.usage
	usage.Unknown = slices.Sorted(maps.Keys(reader.unknown))
	if err == nil && usage.Records == 0 && usage.Skipped > 0 {
		err = fmt.Errorf("found %d lines and no record among them, expected a query log of privatelink-dns", usage.Skipped)
	}
	return s, usage, err
}

// usageReader collects what a log names.
type usageReader struct {
	catalog   *catalog.Catalog
	selection Selection
	byName    map[string]*catalog.Namespace
	unknown   map[string]bool
	usage     Usage
}

func (r *usageReader) read(lines *bufio.Reader) error {
	for {
		line, err := lines.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("reading: %w", err)
		case tooLong:
			r.usage.Skipped++
		case len(bytes.TrimSpace(line)) > 0:
			r.add(line)
		}
		if err != nil {
			return nil
		}
	}
}

// maxUnknown bounds what is remembered of a log that is none of ours.
const maxUnknown = 100

func (r *usageReader) add(line []byte) {
	var record struct {
		Namespace string `json:"namespace"`
		Name      string `json:"qname"`
	}
	if err := json.Unmarshal(line, &record); err != nil || record.Namespace == "" && record.Name == "" {
		r.usage.Skipped++
		return
	}
	r.usage.Records++
	if namespace := r.byName[record.Namespace]; namespace != nil {
		r.selection.add(namespace)
		return
	}
	match := r.catalog.Match(record.Name)
	switch {
	case match.Namespace != nil:
		r.selection.add(match.Namespace)
	case record.Namespace != "" && len(r.unknown) < maxUnknown:
		r.unknown[record.Namespace] = true
	}
}
