package privatelink

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// decodeStrictly decodes a mapping whose keys must all be known.
func decodeStrictly(node *yaml.Node, known []string, target any) error {
	if node.Kind != yaml.MappingNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: found something else than a mapping, expected the keys %s", node.Line, strings.Join(known, ", "))}}
	}
	var mistakes []string
	for index := 0; index < len(node.Content); index += 2 {
		if key := node.Content[index]; !slices.Contains(known, key.Value) {
			mistakes = append(mistakes, fmt.Sprintf("line %d: found key %q, expected one of %s", key.Line, key.Value, strings.Join(known, ", ")))
		}
	}
	if len(mistakes) > 0 {
		return &yaml.TypeError{Errors: mistakes}
	}
	return node.Decode(target)
}

// checkDocument refuses what decoding passes over in silence: a second document,
// and values that are null. A null network would open the server.
func checkDocument(path string, data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return nil // empty, which is allowed; anything else was reported before
	}
	if decoder.Decode(&second) == nil {
		return fmt.Errorf("%s:%d: found a second document, expected one", path, second.Line)
	}
	var mistakes []error
	var visit func(*yaml.Node)
	visit = func(node *yaml.Node) {
		if node.Tag == "!!null" {
			mistakes = append(mistakes, fmt.Errorf("%s:%d: found nothing, expected a value", path, node.Line))
		}
		for _, child := range node.Content {
			visit(child)
		}
	}
	visit(&document)
	return errors.Join(mistakes...)
}

// yamlError turns the "line 3: ..." of yaml.v3 into "path:3: ...".
func yamlError(path string, err error) error {
	var typeError *yaml.TypeError
	if !errors.As(err, &typeError) {
		return locate(path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	mistakes := make([]error, len(typeError.Errors))
	for index, mistake := range typeError.Errors {
		mistakes[index] = locate(path, mistake)
	}
	return errors.Join(mistakes...)
}

func locate(path, mistake string) error {
	if rest, numbered := strings.CutPrefix(mistake, "line "); numbered {
		return fmt.Errorf("%s:%s", path, rest)
	}
	return fmt.Errorf("%s: %s", path, mistake)
}
