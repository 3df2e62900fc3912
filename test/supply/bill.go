package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"runtime/debug"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes the bill of materials of a binary.
func writeBill(out io.Writer, binary string) error {
	information, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what %s is made of: %w", binary, err)
	}
	all, err := modules()
	if err != nil {
		return err
	}
	bill, err := billOf(information, all)
	if err != nil {
		return err
	}
	return cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bill)
}

// billOf returns the bill of a binary that was built from some modules.
func billOf(information *buildinfo.BuildInfo, all []module) (*cyclonedx.BOM, error) {
	sources := map[module]module{}
	for _, m := range all {
		sources[module{Path: m.Path, Version: m.Version}] = m
	}
	main := component(cyclonedx.ComponentTypeApplication, information.Main.Path, information.Main.Version)
	parts := []cyclonedx.Component{component(cyclonedx.ComponentTypeLibrary, "std", information.GoVersion)}
	parts[0].Licenses = licensed("BSD-3-Clause")
	for _, dependency := range information.Deps {
		part, err := dependencyOf(dependency, sources)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	references := []string{}
	for _, part := range parts {
		references = append(references, part.BOMRef)
	}
	bill := cyclonedx.NewBOM()
	bill.Metadata = &cyclonedx.Metadata{Component: &main, Properties: settings(information)}
	bill.Components = &parts
	bill.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &references}}
	return bill, nil
}

// dependencyOf describes a module of the binary, with its licence.
func dependencyOf(dependency *debug.Module, sources map[module]module) (cyclonedx.Component, error) {
	source, found := sources[module{Path: dependency.Path, Version: dependency.Version}]
	if !found {
		return cyclonedx.Component{}, fmt.Errorf("found %s %s in the binary, but not among the modules of these sources: build it from them, for linux/amd64", dependency.Path, dependency.Version)
	}
	l, err := source.licence()
	if err != nil {
		return cyclonedx.Component{}, err
	}
	part := component(cyclonedx.ComponentTypeLibrary, dependency.Path, dependency.Version)
	part.Licenses = licensed(l.identifiers...)
	if dependency.Sum != "" {
		part.Properties = &[]cyclonedx.Property{{Name: "go:sum", Value: dependency.Sum}}
	}
	return part, nil
}

func component(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	// https://github.com/package-url/purl-spec: the type golang.
	locator := "pkg:golang/" + path
	if version == "(devel)" {
		version = "" // the main module's own, of a build that was not fetched
	}
	if version != "" {
		locator += "@" + version
	}
	return cyclonedx.Component{BOMRef: locator, Type: kind, Name: path, Version: version, PackageURL: locator}
}

func licensed(identifiers ...string) *cyclonedx.Licenses {
	var all cyclonedx.Licenses
	for _, identifier := range identifiers {
		all = append(all, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: identifier}})
	}
	return &all
}

// settings are how the binary was built.
func settings(information *buildinfo.BuildInfo) *[]cyclonedx.Property {
	all := []cyclonedx.Property{{Name: "go:version", Value: information.GoVersion}}
	for _, setting := range information.Settings {
		all = append(all, cyclonedx.Property{Name: "go:build:" + setting.Key, Value: setting.Value})
	}
	return &all
}
