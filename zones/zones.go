// Package zones carries the shipped catalogs: which public names of a cloud
// lead into which private zones. It hands the files out as they are and knows
// nothing of what they say; plugin/catalog reads them.
package zones

import (
	"embed"
	"slices"
	"strings"
)

// extension is what the name of a catalog lacks of its file's name.
const extension = ".yaml"

//go:embed *.yaml
var files embed.FS

// Lookup returns the content of a shipped catalog by its name, "azure" for
// azure.yaml; ok is false if there is none of that name. The slice belongs to
// the caller.
func Lookup(name string) (data []byte, ok bool) {
	if !slices.Contains(Names(), name) {
		return nil, false
	}
	data, err := files.ReadFile(name + extension)
	return data, err == nil
}

// Names returns the names of the shipped catalogs, sorted: "azure",
// "azure-china", "azure-usgov".
func Names() []string {
	// The directory is part of the binary and lists its files sorted; reading
	// it cannot fail.
	entries, _ := files.ReadDir(".")
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), extension))
	}
	slices.Sort(names)
	return names
}
