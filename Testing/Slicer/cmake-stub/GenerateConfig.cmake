# The real file refuses an extension whose required metadata are missing; so does this one.
foreach(_name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${_name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${_name} is not set")
  endif()
  message(STATUS "EXTENSION_${_name} is ${EXTENSION_${_name}}")
endforeach()
