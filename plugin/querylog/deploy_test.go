package querylog

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const deployDirectory = "../../deploy/azure-monitor"

// column is a column of the stream or the table.
type column struct{ Name, Type string }

// template is what matters here of the shipped resource template.
type template struct {
	Variables struct {
		Table, Stream  string
		RuleProperties struct {
			StreamDeclarations map[string]struct{ Columns []column }
			DataFlows          []struct {
				Streams                    []string
				TransformKql, OutputStream string
			}
		}
	}
	Resources []struct {
		Type       string
		Properties json.RawMessage
	}
}

func readTemplate(t testing.TB) (shipped template, stream, table map[string]string) {
	t.Helper()
	if err := json.Unmarshal(readDeployed(t, "azuredeploy.json"), &shipped); err != nil {
		t.Fatal(err)
	}
	var tableProperties struct{ Schema struct{ Columns []column } }
	for _, resource := range shipped.Resources {
		if strings.HasSuffix(resource.Type, "/tables") {
			if err := json.Unmarshal(resource.Properties, &tableProperties); err != nil {
				t.Fatal(err)
			}
		}
	}
	declared := shipped.Variables.RuleProperties.StreamDeclarations[shipped.Variables.Stream].Columns
	return shipped, typesOf(declared), typesOf(tableProperties.Schema.Columns)
}

func typesOf(columns []column) map[string]string {
	types := map[string]string{}
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	return types
}

func readDeployed(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployDirectory, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fieldNames are the fields of a line, in the order of jsonLine.
func fieldNames() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[jsonLine]()) {
		names = append(names, field.Tag.Get("json"))
	}
	return names
}

// streamType is the type that a stream must declare for a field.
func streamType(field reflect.StructField) string {
	switch {
	case field.Tag.Get("json") == "time":
		return "datetime"
	case field.Type.Kind() == reflect.Slice:
		return "dynamic"
	}
	switch field.Type.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "real"
	case reflect.Int, reflect.Uint16, reflect.Pointer:
		return "int"
	}
	return "string"
}

// What we write is what the rule declares, field by field: the API drops what
// is not declared, without a word.
func TestStreamDeclaresEveryField(t *testing.T) {
	_, stream, _ := readTemplate(t)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[jsonLine]()) {
		name := field.Tag.Get("json")
		if got, want := stream[name], streamType(field); got != want {
			t.Errorf("the stream declares %s as %q, want %q", name, got, want)
		}
		delete(stream, name)
	}
	if len(stream) != 0 {
		t.Errorf("the stream declares %v, which no line has", stream)
	}
}

var (
	assignment = regexp.MustCompile(`([A-Za-z]+) = ([^,]*)`)
	reference  = regexp.MustCompile(`\['([a-z0-9_]+)'\]`)
)

// The transformation uses every field and makes every column.
func TestTransformationFillsTheTable(t *testing.T) {
	shipped, stream, table := readTemplate(t)
	flow := shipped.Variables.RuleProperties.DataFlows[0]
	if flow.Streams[0] != shipped.Variables.Stream || flow.OutputStream != "Custom-"+shipped.Variables.Table {
		t.Errorf("the flow goes from %s to %s, want from %s to the table", flow.Streams, flow.OutputStream, shipped.Variables.Stream)
	}
	made := map[string]bool{}
	unused := maps.Clone(stream)
	for _, match := range assignment.FindAllStringSubmatch(strings.TrimPrefix(flow.TransformKql, "source | project "), -1) {
		made[match[1]] = true
		for _, field := range reference.FindAllStringSubmatch(match[2], -1) {
			if stream[field[1]] == "" {
				t.Errorf("column %s is made of %s, which the stream does not declare", match[1], field[1])
			}
			delete(unused, field[1])
		}
	}
	if len(unused) != 0 {
		t.Errorf("the fields %v are in no column", slices.Sorted(maps.Keys(unused)))
	}
	if got, want := slices.Sorted(maps.Keys(made)), slices.Sorted(maps.Keys(table)); !slices.Equal(got, want) {
		t.Errorf("the transformation makes the columns\n%v, the table has\n%v", got, want)
	}
}

// Names that Azure reserves or refuses, and the types of DNSQueryLogs where our
// table has its columns.
func TestTableIsValid(t *testing.T) {
	_, _, table := readTemplate(t)
	reserved := []string{"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
	types := []string{"string", "int", "long", "real", "boolean", "dynamic", "datetime"}
	for name, kind := range table {
		if slices.Contains(reserved, name) || len(name) > 45 || !slices.Contains(types, kind) {
			t.Errorf("column %s of type %s is not one that a table may have", name, kind)
		}
	}
	for name, want := range map[string]string{
		"TimeGenerated": "datetime", "QueryName": "string", "QueryType": "string", "QueryClass": "string", "ResponseCode": "int",
		"QueryResponseTime": "int", "Answer": "dynamic", "Transport": "string", "SourceIpAddress": "string", "SourcePort": "int",
		"DestinationIpAddress": "string", "DestinationPort": "int", "ResolverPolicyRuleAction": "string", "DnsForwardingRulesetDomain": "string",
	} {
		if got := table[name]; got != want {
			t.Errorf("column %s has type %q, want DNSQueryLogs' %q", name, got, want)
		}
	}
}

var (
	quoted     = regexp.MustCompile(`@?"(?:[^"\\]|\\.)*"|//[^\n]*`)
	identifier = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)
	assigned   = regexp.MustCompile(`\b([A-Z][A-Za-z0-9]*) =[^=~]`)
)

// The shipped queries name columns that the table has.
func TestQueriesNameColumns(t *testing.T) {
	shipped, _, table := readTemplate(t)
	files, err := filepath.Glob(filepath.Join(deployDirectory, "queries", "*.kql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d queries, %v", len(files), err)
	}
	for _, path := range append(files, filepath.Join(deployDirectory, "asim-dns.kql")) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		query := quoted.ReplaceAllString(string(data), "")
		if !strings.HasPrefix(strings.TrimSpace(query), shipped.Variables.Table+"\n") {
			t.Errorf("%s does not begin with the table %s", path, shipped.Variables.Table)
		}
		query = strings.ReplaceAll(query, shipped.Variables.Table, "")
		known := maps.Clone(table)
		for _, match := range assigned.FindAllStringSubmatch(query, -1) {
			known[match[1]] = "assigned"
		}
		for _, name := range identifier.FindAllString(query, -1) {
			if known[name] == "" {
				t.Errorf("%s names %s, which the table does not have", path, name)
			}
		}
	}
}

// The workbook shows the shipped queries, each as it is in its file.
func TestWorkbookShowsTheQueries(t *testing.T) {
	var workbook struct {
		Version string
		Items   []struct {
			Type    int
			Name    string
			Content struct{ Query string }
		}
	}
	if err := json.Unmarshal(readDeployed(t, "workbook.json"), &workbook); err != nil || workbook.Version != "Notebook/1.0" {
		t.Fatalf("the workbook has version %q, %v", workbook.Version, err)
	}
	shown := 0
	for _, item := range workbook.Items {
		if item.Type != 3 {
			continue
		}
		shown++
		_, query, _ := strings.Cut(string(readDeployed(t, "queries/"+item.Name+".kql")), "\n")
		query, _, _ = strings.Cut(strings.TrimSpace(query), "\n| render")
		if item.Content.Query != query {
			t.Errorf("the workbook's %s is\n%s\nwant\n%s", item.Name, item.Content.Query, query)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(deployDirectory, "queries", "*.kql")); shown != len(files) {
		t.Errorf("the workbook shows %d queries, want all %d", shown, len(files))
	}
}
