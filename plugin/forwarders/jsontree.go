package forwarders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonNode is a JSON value that knows its line. Which fields are set says what it
// is: an object has fields, an array items, everything else text.
type jsonNode struct {
	line   int
	fields []jsonField
	items  []jsonNode
	// text is a string, or a number, true, false or null as it is written.
	text   string
	isText bool
}

type jsonField struct {
	name  string
	value jsonNode
}

// field returns the value of a field, whatever the case of its name, and the
// zero node if there is none: Azure's own tools do not agree on the case.
func (n jsonNode) field(name string) jsonNode {
	for _, f := range n.fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return jsonNode{}
}

// has tells whether the node is an object with a field.
func (n jsonNode) has(name string) bool {
	for _, f := range n.fields {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// jsonReader reads tokens and counts lines.
type jsonReader struct {
	*reader
	data    []byte
	decoder *json.Decoder
	counted int64
	line    int
	// parts counts values.
	parts int
}

// jsonValues reads the values of a file, usually one.
func (r *reader) jsonValues(data []byte) ([]jsonNode, error) {
	j := &jsonReader{reader: r, data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	j.decoder.UseNumber()
	var values []jsonNode
	for {
		token, err := j.next()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, j.fail(j.line, "found %v, expected JSON", err)
		}
		value, err := j.value(token, 0)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

// next reads a token and brings the line up to date. At an error it is that of
// the last token.
func (j *jsonReader) next() (json.Token, error) {
	token, err := j.decoder.Token()
	if offset := j.decoder.InputOffset(); offset > j.counted {
		j.line += bytes.Count(j.data[j.counted:offset], []byte("\n"))
		j.counted = offset
	}
	return token, err
}

func (j *jsonReader) value(token json.Token, depth int) (jsonNode, error) {
	node := jsonNode{line: j.line}
	if depth > maxDepth {
		return node, j.fail(j.line, "found values nested deeper than %d", maxDepth)
	}
	if j.parts++; j.parts > maxValues {
		return node, j.fail(j.line, "found more than %d values", maxValues)
	}
	switch token {
	case json.Delim('{'):
		return node, j.object(&node, depth)
	case json.Delim('['):
		return node, j.array(&node, depth)
	case nil:
		return node, nil
	}
	node.text, node.isText = fmt.Sprint(token), true
	return node, nil
}

func (j *jsonReader) object(node *jsonNode, depth int) error {
	for {
		token, err := j.inside()
		if err != nil || token == json.Delim('}') {
			return err
		}
		name, _ := token.(string)
		if token, err = j.inside(); err != nil {
			return err
		}
		value, err := j.value(token, depth+1)
		if err != nil {
			return err
		}
		node.fields = append(node.fields, jsonField{name, value})
	}
}

func (j *jsonReader) array(node *jsonNode, depth int) error {
	node.items = []jsonNode{}
	for {
		token, err := j.inside()
		if err != nil || token == json.Delim(']') {
			return err
		}
		value, err := j.value(token, depth+1)
		if err != nil {
			return err
		}
		node.items = append(node.items, value)
	}
}

// inside reads a token of an object or array, which has to go on.
func (j *jsonReader) inside() (json.Token, error) {
	token, err := j.next()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, j.fail(j.line, "found %v, expected JSON", err)
	}
	return token, nil
}
