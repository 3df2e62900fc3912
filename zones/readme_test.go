package zones_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// TestReadme wants the example of the README to load and every field that the
// shipped catalogs use to be explained.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(readme)
	if example == nil {
		t.Fatal("README.md has no example")
	}
	c, err := catalog.Load([]catalog.Source{{Path: "README.md", Data: []byte(example[1])}}, nil)
	if err != nil {
		t.Fatalf("the example: %v", err)
	}
	if got := len(c.Zones()); got != 2 {
		t.Errorf("the example has %d zones, want 2", got)
	}
	for _, name := range zones.Names() {
		if !strings.Contains(readme, "`"+name+".yaml`") {
			t.Errorf("README.md does not name %s.yaml", name)
		}
		shipped, _ := zones.Lookup(name)
		var root yaml.Node
		if err := yaml.Unmarshal(shipped, &root); err != nil {
			t.Fatal(err)
		}
		for field := range keys(root.Content[0], make(map[string]bool)) {
			if !strings.Contains(readme, "| `"+field+"` |") {
				t.Errorf("README.md does not explain the field %s of %s.yaml", field, name)
			}
		}
	}
}

// keys collects the keys of all mappings below a node.
func keys(node *yaml.Node, into map[string]bool) map[string]bool {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			into[child.Value] = true
		}
		keys(child, into)
	}
	return into
}
