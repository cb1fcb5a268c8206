"use strict"
// Stands where a client of AWS, Kafka or SFTP would: the gateway sends by HTTP only.
const { dirname, basename } = require("path")

const scope = basename(dirname(__dirname))
const name = basename(__dirname)
const full = scope.startsWith("@") ? `${scope}/${name}` : name
throw new Error(`the gateway leaves out ${full}: it sends by HTTP only`)
