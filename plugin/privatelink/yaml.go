package privatelink

import (
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
