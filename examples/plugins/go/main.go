// What Go wants of a program. The plugin is in export_understudy_plugin_provider; the name is the contract's.
package main

import _ "understudy/bindings/wit_exports"

func main() {}
