# Packaging needs the real Slicer; here only the files that it would take are required.
foreach(_name LICENSE_FILE README_FILE)
  if(NOT EXISTS "${EXTENSION_${_name}}")
    message(FATAL_ERROR "EXTENSION_${_name} names no file: '${EXTENSION_${_name}}'")
  endif()
endforeach()
